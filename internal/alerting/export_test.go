package alerting

// TypeOf is the type that follows from an endpoint, or why it is of no use.
var TypeOf = typeOf
