// Package enforcer guards HTTP applications with mutual TLS: it terminates
// TLS, judges the client's certificate and the application's policies on every
// request, and forwards what is admitted to the application's origin with an
// identity that clients cannot forge.
//
// It depends on nothing but the [State] it was last given. A state is swapped
// as a whole and takes effect on open connections and on requests in flight.
// Everything fails closed: without a state, without an application, without a
// certificate authority, without a policy that admits, or with a defect in the
// judgement itself, the request is refused. The answer never says why; the log
// does, under the same request id.
package enforcer
