// Package grpc runs grpc-go's client and server through edge.
package grpc
