if then crictl pull example.com/never:1
