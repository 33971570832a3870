// Package agent is the runner's hand on a host: a copy of the runner that
// receives what is sent, verifies it while it is written, and remembers what it
// made so that all of it can be undone.
//
// The same program is at both ends. On the delivery machine, package client starts
// it, once per request; on the host, [Main] serves that one request and ends. No
// daemon stays behind, and what was killed half-way is found and finished by the
// next request. Package wire has the requests and answers.
//
// On the host everything is below one directory:
//
//	blobs/sha256/      rootfs layers as shipped
//	rootfs/            the unpacked rootfs
//	registry/          the image store (an OCI layout with refs/)
//	layers/sha256/     what each image layer brought into the store
//	incoming/          what is being received
//	record.json        which cluster the host was prepared for, and what was begun, see package hostrecord
//	created.json       the journal of what was made outside, see package journal
//	previous/          content of files that were overwritten outside
package agent
