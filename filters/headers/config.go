package headers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"edge/filters"
	"edge/filters/message"
)

// New makes the filter called name from its config table:
//
//	{ request  = { set = { name = "value" }, add = { name = "value" or ["one", "two"] }, remove = ["name"] },
//	  response = { the same } }
//
// Fields are removed first, then set, then added; values are taken as they stand. Fields that belong to how a message is
// framed or to the connection ([filters.Framing], content-length) are refused. The error joins everything that is wrong,
// each part beginning with its key: "response.set: …".
func New(name string, config map[string]any) (filters.Filter, error) {
	f := &filter{name: name}
	var wrong []error
	for _, key := range slices.Sorted(maps.Keys(config)) {
		var d filters.Direction
		switch key {
		case "request":
		case "response":
			d = filters.Response
		default:
			wrong = append(wrong, fmt.Errorf("%s: unknown key; there are request and response", key))
			continue
		}
		wrong = append(wrong, f.changes[d].read(key, config[key])...)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if !f.changes[filters.Request].none() {
		f.wants |= filters.OnRequestHead
	}
	if !f.changes[filters.Response].none() {
		f.wants |= filters.OnResponseHead
	}
	return f, nil
}

// read takes one direction's table.
func (c *changes) read(at string, value any) (wrong []error) {
	table, ok := value.(map[string]any)
	if !ok {
		return []error{fmt.Errorf("%s: not a table with set, add and remove", at)}
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		path := at + "." + key
		var errs []error
		switch key {
		case "set":
			c.set, errs = readFields(path, table[key], false)
		case "add":
			c.add, errs = readFields(path, table[key], true)
		case "remove":
			c.remove, errs = readNames(path, table[key])
		default:
			errs = []error{fmt.Errorf("%s: unknown key; there are set, add and remove", path)}
		}
		wrong = append(wrong, errs...)
	}
	return wrong
}

// readFields takes a table of names with their values, in the order of names.
func readFields(path string, value any, several bool) (list []field, wrong []error) {
	table, ok := value.(map[string]any)
	if !ok {
		return nil, []error{fmt.Errorf("%s: not a table of names and values", path)}
	}
	seen := make(map[string]string, len(table))
	for _, key := range slices.Sorted(maps.Keys(table)) {
		name := strings.ToLower(key)
		if err := checkName(key); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", path, err))
			continue
		}
		if other, twice := seen[name]; twice {
			wrong = append(wrong, fmt.Errorf("%s: %q and %q are the same field", path, other, key))
			continue
		}
		seen[name] = key
		values, err := readValues(table[key], several)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %s: %w", path, key, err))
		}
		for _, v := range values {
			list = append(list, field{name, v})
		}
	}
	return list, wrong
}

// readValues takes a value, or where several may be, a list of them.
func readValues(value any, several bool) ([]string, error) {
	if list, ok := value.([]any); ok && several {
		values := make([]string, 0, len(list))
		for _, item := range list {
			one, err := readValues(item, false)
			if err != nil {
				return nil, err
			}
			values = append(values, one...)
		}
		return values, nil
	}
	text, ok := value.(string)
	switch {
	case !ok && several:
		return nil, errors.New("the value is neither a string nor a list of strings")
	case !ok:
		return nil, errors.New("the value is not a string")
	case !message.ValidValue(text):
		return nil, fmt.Errorf("%q is not a field value (RFC 9110 section 5.5): no control characters, no space at its ends", text)
	}
	return []string{text}, nil
}

// readNames takes a list of names.
func readNames(path string, value any) (names []string, wrong []error) {
	list, ok := value.([]any)
	if !ok {
		return nil, []error{fmt.Errorf("%s: not a list of names", path)}
	}
	for _, item := range list {
		name, ok := item.(string)
		if !ok {
			wrong = append(wrong, fmt.Errorf("%s: %v is not a string", path, item))
			continue
		}
		if err := checkName(name); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", path, err))
			continue
		}
		names = append(names, strings.ToLower(name))
	}
	return names, wrong
}

// checkName says why a filter cannot change the field.
func checkName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case strings.HasPrefix(name, ":"):
		return fmt.Errorf("%q is a pseudo-header: it cannot be changed as a field", name)
	case !message.ValidName(name):
		return fmt.Errorf("%q is not a field name (RFC 9110 section 5.6.2)", name)
	case filters.Framing(lower), lower == "content-length":
		return fmt.Errorf("%q belongs to the connection or to the message's framing: it cannot be changed", name)
	}
	return nil
}
