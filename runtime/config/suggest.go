package config

import "fmt"

// maxSuggest is the longest word that suggest looks for.
const maxSuggest = 64

// suggest is `did you mean "x"?` with the candidate closest to word, or "" where none is close: one edit, or one in
// three characters.
func suggest(word string, candidates []string) string {
	best, least := "", max(1, len(word)/3)+1
	if len(word) > maxSuggest {
		return ""
	}
	for _, c := range candidates {
		if d := distance(word, c, least); d < least {
			best, least = c, d
		}
	}
	if best == "" || best == word {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance is the number of insertions, deletions, substitutions and swaps of neighbours between a and b (optimal string
// alignment), or more than limit where it is more than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var rows [3][2*maxSuggest + 2]int
	before, previous, current := rows[0][:], rows[1][:], rows[2][:]
	for j := range len(b) + 1 {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
