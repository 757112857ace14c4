// Package threats holds the threat tables of HTTP/1: smuggling (S), targets and Host (T), resources (R) and the upstream side
// (U). Every case carries the number of its threat, sends exact bytes, and looks at both ends: what the client got, and what
// the origin saw.
package threats
