package admin

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestReload: the outcome and its status are the answer; only POST asks for one, and no page of another origin does.
func TestReload(t *testing.T) {
	asked := 0
	s := open(t, Options{Address: "127.0.0.1:0", Reload: func(context.Context) (any, int) {
		asked++
		return map[string]string{"result": "failed"}, http.StatusUnprocessableEntity
	}})
	for _, c := range []struct {
		method, key, value string
		status             int
		body               string
	}{
		{"POST", "", "", 422, `"result": "failed"`},
		{"POST", "Sec-Fetch-Site", "same-origin", 422, `"result": "failed"`},
		{"POST", "Sec-Fetch-Site", "cross-site", 403, "cross-origin"},
		{"POST", "Origin", "http://evil.example", 403, "cross-origin"},
		{"GET", "", "", 405, ""},
	} {
		r, err := http.NewRequest(c.method, "http://localhost/reload", nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.key != "" {
			r.Header.Set(c.key, c.value)
		}
		before := asked
		answer, err := client(s).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.status || !strings.Contains(string(body), c.body) || (asked > before) != (c.status == 422) {
			t.Errorf("%s %s %s: %d %q, asked %v", c.method, c.key, c.value, answer.StatusCode, body, asked > before)
		}
	}
	if status, _, _ := get(t, open(t, Options{Address: "127.0.0.1:0"}), "POST", "/reload", "localhost"); status != 404 {
		t.Errorf("without a function: %d", status)
	}
}
