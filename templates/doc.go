// Package templates holds the words that people and programs get to read: the
// embedded templates of messages and of pages, each behind a typed Render
// function. Messages are rendered from a [Message]; what is in it came from
// certificates and is never trusted: control characters are cut out, lengths
// are bounded, and each output is escaped for its medium.
package templates
