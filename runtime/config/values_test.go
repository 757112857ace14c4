package config

import (
	"testing"
	"time"
)

func TestValues(t *testing.T) {
	for text, want := range map[string]Size{
		"0B": 0, "512B": 512, "1KiB": 1024, "3MiB": 3 << 20, "2GiB": 2 << 30, "unlimited": Unlimited,
		"8589934591GiB": 8589934591 << 30,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseSize(%q) = %v (%q), %v", text, int64(got), got, err)
		}
	}
	for _, text := range []string{"", "1", "B", "-1B", "1kb", "1 KiB", "8589934592GiB", "99999999999999999999B", "1.5MiB", "1KiBB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %v", text, got)
		}
	}
	for text, want := range map[string]Rate{"off": {}, "1KiB/5s": {1024, 5 * time.Second}, "10MiB/1s": {10 << 20, time.Second}} {
		got, err := ParseRate(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseRate(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1KiB", "1KiB/", "/5s", "0B/5s", "unlimited/5s", "1KiB/5", "1KiB/1ms", "1KiB/-5s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v", text, got)
		}
	}
}

func TestRedirectTargets(t *testing.T) {
	for to, ok := range map[string]bool{
		"/":                                 true,
		"/new/{rest}":                       true,
		"{path}":                            true,
		"{path}{query}":                     true,
		"https://example.com":               true,
		"https://example.com{path}":         true,
		"https://example.com/{rest}{query}": true,
		"https://{host}{path}":              true,
		"https://{host}/{rest}":             true,
		"http://[::1]:80/":                  true,
		"https://example.com{rest}":         false, // example.com.evil.example
		"https://{host}{rest}":              false,
		"https://{rest}":                    false,
		"{rest}":                            false, // https://evil.example
		"//evil.example":                    false,
		"javascript:alert(1)":               false,
		"https://user@example.com/":         false,
		"https:///x":                        false,
		"/a b":                              false,
		"/a\r\nset-cookie: x":               false,
		"/{unknown}":                        false,
		"/{rest":                            false,
		"":                                  false,
	} {
		if why := targetProblem(to); (why == "") != ok {
			t.Errorf("%q: %q", to, why)
		}
	}
}
