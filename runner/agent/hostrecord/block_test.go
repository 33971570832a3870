package hostrecord

import "testing"

func TestWithBlock(t *testing.T) {
	block := "# begin kubefile cluster a\n10.0.0.1 x\n# end kubefile cluster a\n"
	cases := []struct{ name, content, want string }{
		{"empty", "", block},
		{"at the end", "127.0.0.1 localhost\n", "127.0.0.1 localhost\n" + block},
		{"no newline", "127.0.0.1 localhost", "127.0.0.1 localhost\n" + block},
		{"in its place", "before\n# begin kubefile cluster a\nold\nolder\n# end kubefile cluster a\nafter\n", "before\n" + block + "after\n"},
		{"another cluster's", "# begin kubefile cluster b\n# end kubefile cluster b\n", "# begin kubefile cluster b\n# end kubefile cluster b\n" + block},
		{"as it is", block + "after\n", block + "after\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := WithBlock(c.content, "a", []string{"10.0.0.1 x"})
			if err != nil || got != c.want {
				t.Fatalf("got %v\n%s\nwant\n%s", err, got, c.want)
			}
			if again, err := WithBlock(got, "a", []string{"10.0.0.1 x"}); err != nil || again != got {
				t.Errorf("a second time it is\n%s%v", again, err)
			}
		})
	}
	for _, content := range []string{"# begin kubefile cluster a\nsomebody's lines\n", "# begin kubefile cluster a"} {
		if got, err := WithBlock(content, "a", nil); err == nil {
			t.Errorf("without an end it becomes %q", got)
		}
	}
}

func FuzzWithBlock(f *testing.F) {
	f.Add("127.0.0.1 localhost")
	f.Add("# begin kubefile cluster a\nx\n# end kubefile cluster a\n")
	f.Fuzz(func(t *testing.T, content string) {
		once, err := WithBlock(content, "a", []string{"10.0.0.1 x"})
		if err != nil {
			return
		}
		if twice, err := WithBlock(once, "a", []string{"10.0.0.1 x"}); err != nil || twice != once {
			t.Fatalf("%q becomes %q, then %q, %v", content, once, twice, err)
		}
	})
}
