package hostrecord

// Patterns of names, for [path.Match].
const (
	random1 = "[A-Z2-7]" // of the names that clusterdir makes
	random6 = random1 + random1 + random1 + random1 + random1 + random1
	// TemporaryName is a pattern for the names of files in the cluster's directory that are being written.
	TemporaryName = "." + random6 + random6 + random6 + random6 + random1 + random1
)

// WorkLock is the file in a cluster's directory that is held with flock(2) while something works in its rootfs, so that what an interrupted run
// left running is over before the same work begins again.
const WorkLock = "work.lock"
