// Package host is about the machines a cluster is made of: who they are
// ([Host], [Inventory]), what a command for them is ([Conn], [Command]), what
// they are like ([Facts]). It does not know how they are logged in to.
package host
