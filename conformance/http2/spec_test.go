package http2

import (
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"edge/conformance/rig"
)

// The field's own conformance test, and the fewest cases that a run of it must have passed.
const (
	h2specPackage = "github.com/summerwind/h2spec/cmd/h2spec"
	h2specVersion = "v2.2.1+incompatible"
	h2specCases   = 146
)

// TestSpec runs h2spec in strict mode, in the clear and over TLS: nothing fails and nothing is left out. The listener in the clear speaks
// HTTP/2 alone: one that speaks HTTP/1.1 too answers what is no preface as HTTP/1.1, which RFC 9113 section 3.4 leaves open.
func TestSpec(t *testing.T) {
	path := rig.Tool(t, "h2spec", h2specPackage, h2specVersion)
	for name, c := range map[string]struct {
		listen string
		args   []string
	}{
		"h2c": {`protocols = ["h2c"]`, nil},
		"h2":  {secure, []string{"-t", "-k"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := rig.Start(t, rig.Config{Log: `level = "info"`, Listen: c.listen,
				Rest: selfSigned + "[[routes]]\nrespond = { body = \"hello world\" }\n"})
			host, port, err := net.SplitHostPort(e.Addr)
			rig.Must(t, err)
			out, err := exec.Command(path, append(c.args, "-S", "-h", host, "-p", port, "--timeout", "3")...).CombinedOutput()
			_, last, _ := strings.Cut(string(out), "\nFinished in ")
			_, last, _ = strings.Cut(strings.TrimSpace(last), "\n")
			cases, _ := strconv.Atoi(strings.SplitN(last, " ", 2)[0])
			if all := strconv.Itoa(cases); err != nil || cases < h2specCases || last != all+" tests, "+all+" passed, 0 skipped, 0 failed" {
				t.Errorf("%v\n%s", err, out)
			}
			t.Log(last)
		})
	}
}
