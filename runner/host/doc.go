// Package host reaches the machines a cluster is made of: who they are
// ([Host], [Inventory]), how a command runs on them ([Conn], [Command]), what
// they are like ([Facts]).
//
// A remote host is reached over one SSH connection, the local machine without
// any; both run the same commands by the same wrapping. No value ever becomes
// part of a shell script: scripts are constants, values are quoted arguments
// ([Quote]), environment and passwords travel on the command's standard input,
// so no process list shows them.
package host
