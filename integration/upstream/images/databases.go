package images

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/integration/upstream/image"
)

// The stand-ins of databases have the programs of the official images, in PATH, with busybox's shell and tools beside them; the user that
// the official ones run as, by the same number; and the same directories. What they lack is the official entrypoint, which makes users and
// a first database, or changes the owner of a volume, as variables and arguments say: whoever uses them names a command of its own, and so
// runs on the official images, too.

// databaseUID is that of redis and mysql in the official images; so is their group.
const databaseUID = "999"

// account is a first layer with a user of that name.
func account(name string) []image.Entry {
	entries := base()
	for i, e := range entries {
		switch e.Path {
		case "etc/passwd":
			entries[i].Data = append(e.Data, name+":x:"+databaseUID+":"+databaseUID+"::/:/bin/sh\n"...)
		case "etc/group":
			entries[i].Data = append(e.Data, name+":x:"+databaseUID+":\n"...)
		}
	}
	return entries
}

// databases lists the images of databases.
func (src Sources) databases(busybox []image.Entry) ([]Definition, error) {
	redis, err := src.redis(busybox)
	if err != nil {
		return nil, err
	}
	mariadb, err := src.mariadb(busybox)
	if err != nil {
		return nil, err
	}
	return []Definition{redis, mariadb}, nil
}

// redis makes Debian's Redis the official image, which is of the same release.
func (src Sources) redis(busybox []image.Entry) (Definition, error) {
	programs, err := withLibraries(src.Debian, []string{"usr/bin/redis-server", "usr/bin/redis-cli"}, "")
	if err != nil {
		return Definition{}, err
	}
	programs = append(programs,
		image.Entry{Path: "usr/bin/redis-sentinel", Link: "redis-server"},
		image.Entry{Path: "data", Mode: fs.ModeDir | 0o777})
	return Definition{
		References: []string{"docker.io/library/redis:latest", "docker.io/library/redis:7", "docker.io/library/redis:7.0"},
		Layers:     [][]image.Entry{account("redis"), busybox, programs},
		Config: ocispec.ImageConfig{
			Cmd:          []string{"redis-server", "--protected-mode", "no"},
			WorkingDir:   "/data",
			ExposedPorts: map[string]struct{}{"6379/tcp": {}},
		},
		Compression: image.Zstd,
	}, nil
}

// mariadbShare is where MariaDB has its messages, character sets and system tables.
const mariadbShare = "usr/share/mysql"

// mariadb makes Debian's MariaDB the official image of that release: server, client, dump, and what makes the system tables. Of the
// messages it has the English ones, of the plugins none.
func (src Sources) mariadb(busybox []image.Entry) (Definition, error) {
	programs, err := withLibraries(src.Debian, []string{
		"usr/sbin/mariadbd", "usr/bin/mariadb", "usr/bin/mariadb-admin", "usr/bin/mariadb-dump", "usr/bin/my_print_defaults", "usr/bin/resolveip",
	}, "")
	if err != nil {
		return Definition{}, err
	}
	share, err := src.shared(mariadbShare+"/*.sql", mariadbShare+"/english/*", mariadbShare+"/charsets/*.xml")
	if err != nil {
		return Definition{}, err
	}
	programs = append(append(programs, share...),
		image.Entry{Path: "usr/bin/mariadb-install-db", Mode: 0o755, Source: filepath.Join(src.Debian, "usr/bin/mariadb-install-db")},
		image.Entry{Path: "etc/mysql/my.cnf", Mode: 0o644, Source: filepath.Join(src.Debian, "etc/mysql/mariadb.cnf")},
		image.Entry{Path: "etc/mysql/conf.d", Mode: fs.ModeDir | 0o755},
		image.Entry{Path: "etc/mysql/mariadb.conf.d", Mode: fs.ModeDir | 0o755},
		image.Entry{Path: "run/mysqld", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		image.Entry{Path: "var/lib/mysql", Mode: fs.ModeDir | 0o777})
	return Definition{
		References: []string{"docker.io/library/mariadb:10.11"},
		Layers:     [][]image.Entry{account("mysql"), busybox, programs},
		Config: ocispec.ImageConfig{
			Cmd:          []string{"mariadbd"},
			ExposedPorts: map[string]struct{}{"3306/tcp": {}},
		},
		Compression: image.Zstd,
	}, nil
}

// shared are files of Debian's packages, by patterns, at the paths that they have there.
func (src Sources) shared(patterns ...string) ([]image.Entry, error) {
	var entries []image.Entry
	for _, pattern := range patterns {
		matches, err := filepath.Glob(filepath.Join(src.Debian, pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range matches {
			target := path.Clean(strings.TrimPrefix(filepath.ToSlash(name), filepath.ToSlash(src.Debian)+"/"))
			entries = append(entries, image.Entry{Path: target, Mode: 0o644, Source: name})
		}
	}
	return entries, nil
}
