// Package http2 is the suite of HTTP/2 connections against the binary: churn, idle ones, floods, and the field's own conformance test.
package http2
