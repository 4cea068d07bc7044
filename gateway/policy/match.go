package policy

import "strings"

// Marks of a pattern that is spelled out: any characters, and any one.
const (
	anyRunes rune = -1 - iota
	anyRune
)

// spell spells a pattern out. ${name} stands for the value of a condition key, or for what
// comes behind a comma in it where the request has none; ${*}, ${?} and ${$} for the
// characters themselves. ok is false where there is no value. Without values all is plain
// but stars and question marks, which without wild are plain too.
func spell(pattern string, values func(string) []string, wild bool) (out []rune, ok bool) {
	for rest := pattern; rest != ""; {
		if values != nil && strings.HasPrefix(rest, "${") {
			name, after, closed := strings.Cut(rest[2:], "}")
			if closed {
				v, ok := variable(name, values)
				if !ok {
					return nil, false
				}
				out, rest = append(out, []rune(v)...), after
				continue
			}
		}
		for _, r := range rest {
			switch {
			case r == '*' && wild:
				out = append(out, anyRunes)
			case r == '?' && wild:
				out = append(out, anyRune)
			default:
				out = append(out, r)
			}
			rest = rest[runeLen(rest):]
			break
		}
	}
	return out, true
}

// runeLen is how many bytes the first character of s has.
func runeLen(s string) int {
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

func variable(name string, values func(string) []string) (string, bool) {
	if name == "*" || name == "?" || name == "$" {
		return name, true
	}
	key, otherwise, given := strings.Cut(name, ",")
	if v := values(foldKey(strings.TrimSpace(key))); len(v) == 1 {
		return v[0], true
	}
	return strings.Trim(strings.TrimSpace(otherwise), "'"), given
}

// match tells whether text is as a pattern says.
func match(pattern, text string, values func(string) []string) bool {
	p, ok := spell(pattern, values, true)
	return ok && matchRunes(p, []rune(text))
}

func matchPlain(pattern, text string) bool { return match(pattern, text, nil) }

// matchRunes takes time that grows with the product of the lengths at the worst.
func matchRunes(p, text []rune) bool {
	i, j := 0, 0
	star, from := -1, 0 // the last star, and up to where text was taken for it
	for j < len(text) {
		switch {
		case i < len(p) && p[i] == anyRunes:
			star, from = i, j
			i++
		case i < len(p) && (p[i] == anyRune || p[i] == text[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(p) && p[i] == anyRunes {
		i++
	}
	return i == len(p)
}
