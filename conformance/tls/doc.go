// Package tls is the suite of TLS against the binary: clients and servers of other makes, certificates that are renewed, handshakes that
// are left, sizes and times.
package tls
