package http2

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"edge/conformance/rig"
)

// TestSpec runs h2spec in strict mode, in the clear and over TLS.
func TestSpec(t *testing.T) {
	path, err := exec.LookPath("h2spec")
	if err != nil {
		t.Skip("h2spec is not installed")
	}
	for name, c := range map[string]struct {
		listen string
		args   []string
	}{
		"h2c": {`protocols = ["h2c"]`, nil},
		"h2":  {`certificates = ["main"]`, []string{"-t", "-k"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: c.listen,
				Rest: "[certificates.main]\ncertificate = \"self-signed\"\n[[routes]]\nrespond = { body = \"hello world\" }\n"})
			host, port, err := net.SplitHostPort(e.Addr)
			rig.Must(t, err)
			out, err := exec.Command(path, append(c.args, "-S", "-h", host, "-p", port, "--timeout", "3")...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), " 0 failed") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
