package proxywasm

// foreignCalls are the host's own functions, called by name. There are none yet: every name is notFound.
var foreignCalls = map[string]hostCall{
	"proxy_call_foreign_function": {params: "iiiiii", call: absent},
}
