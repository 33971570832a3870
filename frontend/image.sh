#!/bin/sh
# image.sh ARCH...: fills _out/frontend/linux-ARCH for each architecture with the files of the frontend image (see Dockerfile.frontend):
#   /frontend        the frontend; the same binary is wget and curl in the toolbox
#   /sealer-run      the runner of this platform, which every cluster image carries
#   /toolbox/        what RUN steps find at /.kubefile/toolbox when the rootfs has no shell: launch, bin/
# Run in the root of the repository after "make tools".
set -eu

tools=_out/bin
host=$(go env GOHOSTARCH)
flags=$(version/version.sh flags)
mkdir -p _out/frontend
exec 9>_out/frontend/.lock
flock 9
for arch in "$@"; do
	out=_out/frontend/linux-$arch
	rm -rf "$out.new" # of a run that was killed
	mkdir -p "$out.new/toolbox/bin"

	export CGO_ENABLED=0 GOOS=linux GOARCH="$arch" GOGC=400 # with GOGC the compiler is a quarter faster
	go build -trimpath -buildvcs=false -ldflags "$flags" -o "$out.new/toolbox/bin/kubefile-frontend" ./cmd/kubefile-frontend
	ln -s toolbox/bin/kubefile-frontend "$out.new/frontend"
	go build -trimpath -buildvcs=false -ldflags "$flags" -o "$out.new/sealer-run" ./cmd/sealer-run

	cp frontend/toolbox/launch "$out.new/toolbox/launch"
	cp "$tools/bash-$arch" "$out.new/toolbox/bin/bash"
	# Debian's busybox runs its own programs before those in PATH, also from xargs, find and timeout. Its wget does not
	# verify TLS, so its name goes (and stays in the order that busybox looks names up by); ours is found in PATH.
	LC_ALL=C sed 's/\x00wget\x00/\x00wge_\x00/' "$tools/busybox-$arch" >"$out.new/toolbox/bin/busybox"
	# All of it is for every user of a RUN step, whatever the umask of this build, and the image is the same for each umask.
	chmod -R u=rwx,go=rx,ug-s "$out.new"
	for program in $("$tools/busybox-$host" --list); do
		[ -e "$out.new/toolbox/bin/$program" ] || ln -s busybox "$out.new/toolbox/bin/$program"
	done
	ln -sf bash "$out.new/toolbox/bin/sh" # busybox's shell prefers its own programs, too
	for program in wget curl; do
		ln -sf kubefile-frontend "$out.new/toolbox/bin/$program"
	done

	rm -rf "$out"
	mv "$out.new" "$out"
done
