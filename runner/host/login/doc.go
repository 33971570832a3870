// Package login logs in to hosts, finds out how to become root there, and runs
// commands within their limits ([Dialer]).
//
// A remote host is reached over one SSH connection, the local machine without
// any; both run the same commands by the same wrapping. No value ever becomes
// part of a shell script: scripts are constants, values are quoted arguments,
// environment and passwords travel on the command's standard input, so no
// process list shows them.
package login
