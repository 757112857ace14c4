package route

import "strings"

// group is the path index of the routes that share a host pattern.
type group struct {
	first    int32              // least position of the group
	exact    map[string][]int32 // by path
	prefixes node               // by prefix; "*" alone is the empty prefix
}

// add enters a route and returns the group, which it makes where there is none. Routes come in file order.
func (g *group) add(path string, position int32) *group {
	if g == nil {
		g = &group{first: position, exact: map[string][]int32{}}
	}
	if prefix, wild := strings.CutSuffix(pattern(path), "*"); wild {
		n := g.prefixes.at(prefix)
		n.routes = enter(n.routes, position)
	} else {
		g.exact[path] = enter(g.exact[path], position)
	}
	return g
}

// enter appends a position once: a route may name a host twice.
func enter(list []int32, position int32) []int32 {
	if n := len(list); n > 0 && list[n-1] == position {
		return list
	}
	return append(list, position)
}

// node is a node of a radix tree of path prefixes. The labels on the way to it spell the prefix of its routes.
type node struct {
	label    string
	routes   []int32 // whose prefix ends here, in file order
	children []*node // their labels differ in the first byte
}

// next is the child that the path goes on to, with what is left of the path behind it, or nil.
func (n *node) next(path string) (child *node, rest string) {
	if path == "" {
		return nil, ""
	}
	for _, c := range n.children {
		if c.label[0] == path[0] {
			if strings.HasPrefix(path, c.label) {
				return c, path[len(c.label):]
			}
			return nil, ""
		}
	}
	return nil, ""
}

// at returns the node of a prefix, and makes it where there is none.
func (n *node) at(prefix string) *node {
	if prefix == "" {
		return n
	}
	for i, c := range n.children {
		common := commonPrefix(c.label, prefix)
		if common == 0 {
			continue
		}
		if common < len(c.label) {
			split := &node{label: c.label[:common], children: []*node{c}}
			c.label = c.label[common:]
			n.children[i] = split
			c = split
		}
		return c.at(prefix[common:])
	}
	c := &node{label: prefix}
	n.children = append(n.children, c)
	return c
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
