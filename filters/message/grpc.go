package message

import "strings"

// GRPC says whether a message with these fields speaks gRPC, by its content-type; gRPC-Web is something else.
func (f *Fields) GRPC() bool {
	rest, ok := strings.CutPrefix(f.Value("content-type"), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}
