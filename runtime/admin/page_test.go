package admin

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The page is one document: nothing is left to be filled in, or fetched from elsewhere but the status.
func TestPageIsWhole(t *testing.T) {
	s := open(t, Options{Address: "127.0.0.1:0", Status: func() *Status { return &Status{} }})
	status, header, body := get(t, s, "GET", "/status", "localhost")
	if status != 200 || body != page || strings.Contains(body, "{{") {
		t.Fatalf("%d, %d bytes", status, len(body))
	}
	for _, m := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"|url\(([^)]*)\)|@import`).FindAllStringSubmatch(body, -1) {
		if m[1] != "data:," && m[1] != "/status.json" && m[1] != "/metrics" {
			t.Errorf("the page asks for %q", m[0])
		}
	}
	policy := header.Get("Content-Security-Policy")
	for _, tag := range []string{"script", "style"} {
		texts := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(body, -1)
		if len(texts) != 1 || !strings.Contains(policy, tag+"-src "+source(texts[0][1])+";") {
			t.Errorf("%d of <%s>, with the policy %q", len(texts), tag, policy)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy is %q", policy)
	}
	if regexp.MustCompile(`\sstyle="|\son\w+="`).MatchString(body) {
		t.Error("the page has an attribute that the policy forbids")
	}
}

// Names and messages come from strangers: the script has no way to make markup of a text.
func TestScriptMakesNoMarkup(t *testing.T) {
	for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "createContextualFragment", "DOMParser",
		"setHTML", "srcdoc", "javascript:"} {
		if strings.Contains(pageJS, word) {
			t.Errorf("the script has %s", word)
		}
	}
}

// What the script reads of the status is there.
func TestScriptKnowsTheFields(t *testing.T) {
	known := fieldsOf(reflect.TypeFor[Status](), map[reflect.Type]bool{})
	for _, m := range regexp.MustCompile(`\b(?:s|a|b|f|r|u|l|c|e|w|was|is|s\.tls|s\.last_reload|b\.tls)\.([a-z][a-z_0-9]*)\b(\()?`).FindAllStringSubmatch(pageJS, -1) {
		of := []string{"name", "n", "tls", "firstChild", "children", "append", "setAttribute", "p99"}
		if m[2] == "" && !slices.Contains(known, m[1]) && !slices.Contains(of, m[1]) {
			t.Errorf("the script reads %s, which the status does not have", m[0])
		}
	}
	if len(known) < 50 {
		t.Errorf("%d fields: the test looks at the wrong place", len(known))
	}
}

func fieldsOf(t reflect.Type, seen map[reflect.Type]bool) (names []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return fieldsOf(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if tag := t.Field(i).Tag.Get("json"); tag != "" && !seen[t] {
				name, _, _ := strings.Cut(tag, ",")
				names = append(append(names, name), fieldsOf(t.Field(i).Type, seen)...)
			}
		}
		seen[t] = true
	}
	return names
}

// A status goes through JSON and back unharmed, whatever names it has.
func TestStatusRoundTrip(t *testing.T) {
	const odd = "</script><img src=x onerror=alert(1)>\u2028\x00\""
	in := Status{Config: odd, Filters: []FilterStatus{{Name: odd, Faults: map[string]uint64{odd: 1}, LastFault: &FaultStatus{Error: odd}}}}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(string(text), "<>\u2028") {
		t.Errorf("markup in %s", text)
	}
	var out Status
	if err := json.Unmarshal(text, &out); err != nil || fmt.Sprintf("%+v", out.Filters[0].Faults) != fmt.Sprintf("%+v", in.Filters[0].Faults) ||
		out.Config != odd || out.Filters[0].LastFault.Error != odd {
		t.Errorf("%v: %+v", err, out)
	}
}
