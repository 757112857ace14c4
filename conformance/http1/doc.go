// Package http1 is the HTTP/1.1 suite of T1 with the features of routes and actions: keep-alive, framing, upgrade, files,
// redirects, retries, forwarding fields, stopping.
package http1
