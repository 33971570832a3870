// Package agent is the runner's hand on a host: a copy of the runner that
// receives what is sent, verifies it while it is written, and remembers what it
// made so that all of it can be undone.
//
// One file holds both ends. On the delivery side a [Client] copies the runner to
// the host and starts it, once per request, as
//
//	sealer-run agent VERB REQUEST
//
// over one SSH session: REQUEST is JSON, content follows on standard input, the
// answer is JSON on standard output, and a failure is a sentence on standard
// error. On the host, [Main] serves that one request and ends. No daemon stays
// behind, and what was killed half-way is found and finished by the next request.
//
// On the host everything is below one directory, Client.Dir:
//
//	blobs/sha256/      rootfs layers as shipped
//	rootfs/            the unpacked rootfs
//	registry/          the image store (an OCI layout with refs/)
//	layers/sha256/     what each image layer brought into the store
//	incoming/          what is being received
//	record.json        which cluster the host was prepared for, and what was begun, see [Record]
//	created.json       the journal of what was made outside, see [Client.RemoveCreated]
//	previous/          content of files that were overwritten outside
package agent
