package config

// BuiltinName is the name that stands for the built-in configuration where a file's name would.
const BuiltinName = "(built-in)"

// BuiltinText is the configuration that edge runs with when there is no file. It needs the built-in module "welcome".
const BuiltinText = `# The built-in configuration: a welcome page, answered by edge itself, with a Wasm filter in the path.
[server]
admin = ""

[[listen]]
address = "127.0.0.1:8080"

[filters.welcome]
module = "builtin:welcome"

[[routes]]
name = "welcome"
filters = ["welcome"]
respond = { status = 200, headers = { "content-type" = "text/html; charset=utf-8" }, body = """
<!doctype html>
<html lang="en">
<title>edge</title>
<h1>edge is running</h1>
<p>This page comes from the built-in configuration. A WebAssembly filter has set a header of this response.</p>
<p>Write an <code>edge.toml</code> and start <code>edge run -c edge.toml</code> to serve something of your own.</p>
</html>
""" }
`

// Builtin is the built-in configuration.
func Builtin() *Config {
	cfg, problems := Parse(BuiltinName, []byte(BuiltinText), Options{Modules: []string{"welcome"}, Metering: true})
	if len(problems) > 0 {
		panic("the built-in configuration: " + problems.Error())
	}
	return cfg
}
