package hosttest

// Awkward returns values that a careless shell line would change.
func Awkward() []string {
	return []string{
		"plain", "", " ", "two words", "a'b", `"`, `\`, `\n`, `a\\b`, "line\nline", "ends\n\n", "\n", "tab\there", "$HOME", "`id`", "$(id)",
		"%s%d", "*", "~", "-n", "--", "a;b", "a&b|c>d<e", "!x", "#x", "é€", "\x01\x1b[31m", ".", "..", "=", "a=b", "\xff\xfe",
	}
}
