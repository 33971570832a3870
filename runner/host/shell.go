package host

import "strings"

// Quote makes of argv one line that a POSIX shell splits into exactly argv.
func Quote(argv []string) string {
	quoted := make([]string, len(argv))
	for i, arg := range argv {
		quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

// ExtendPath is a piece of a script for sh that adds the directories of programs that PATH lacks. sudo replaces PATH
// by its secure_path, which on some distributions has no /usr/local/bin; a login
// that is not root may have no sbin. The host's own order is kept.
//
// It uses no variable that a command could be given.
const ExtendPath = `PATH=${PATH:-/usr/bin}
case :$PATH: in *:/usr/local/sbin:*) ;; *) PATH=$PATH:/usr/local/sbin ;; esac
case :$PATH: in *:/usr/local/bin:*) ;; *) PATH=$PATH:/usr/local/bin ;; esac
case :$PATH: in *:/usr/sbin:*) ;; *) PATH=$PATH:/usr/sbin ;; esac
case :$PATH: in *:/usr/bin:*) ;; *) PATH=$PATH:/usr/bin ;; esac
case :$PATH: in *:/sbin:*) ;; *) PATH=$PATH:/sbin ;; esac
case :$PATH: in *:/bin:*) ;; *) PATH=$PATH:/bin ;; esac
export PATH`
