TAG=7
cat > /tmp/values.yaml <<EOF
tag: "$TAG"
EOF
helm install web web -f /tmp/values.yaml
cat <<EOF | helm install web web -f -
tag: "8"
EOF
kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: here}
spec:
  containers:
  - image: example.com/here:$TAG
EOF
cat > /etc/config.toml <<'EOF'
image = "example.com/no:1"
EOF
