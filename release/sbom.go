package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const (
	unknown = "NOASSERTION"
	root    = common.ElementID("binary")
)

// writeSBOM writes the modules that are compiled into a binary, as the binary itself records them.
func (r *release) writeSBOM(binary string) error {
	build, err := buildinfo.ReadFile(r.path(binary))
	if err != nil {
		return err
	}
	sum, err := fileSum(r.path(binary))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Write(r.document(binary, fmt.Sprintf("%x", sum), build), &out, json.Indent("  ")); err != nil {
		return err
	}
	return r.write(binary+".spdx.json", out.Bytes())
}

// document is an SPDX document: the binary, and what it depends on.
func (r *release) document(binary, sum string, build *debug.BuildInfo) *v2_3.Document {
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: binary + " " + r.version, DocumentNamespace: project + "/spdx/" + binary + "-" + r.version + "-" + sum,
		CreationInfo: &v2_3.CreationInfo{
			Created:  r.date.UTC().Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Organization", Creator: "The Kubefile Authors"}, {CreatorType: "Tool", Creator: "kubefile-release"}},
		},
	}
	main := module(root, build.Main.Path, r.version)
	main.PackageName, main.PackageFileName = binary, binary
	main.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: sum}}
	main.PackageLicenseDeclared, main.PackageDownloadLocation = license, "git+"+project+"@"+r.commit
	main.PrimaryPackagePurpose = "APPLICATION"
	doc.Packages = append(doc.Packages, main)
	doc.Relationships = append(doc.Relationships, relationship("DOCUMENT", common.TypeRelationshipDescribe, root))
	add := func(p *v2_3.Package) {
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, relationship(root, common.TypeRelationshipDependsOn, p.PackageSPDXIdentifier))
	}
	add(module("stdlib", "stdlib", strings.TrimPrefix(build.GoVersion, "go")))
	for i, dep := range build.Deps { // sorted by path
		dep = cmp.Or(dep.Replace, dep)
		add(module(common.ElementID(fmt.Sprintf("module-%d", i+1)), dep.Path, dep.Version))
	}
	return doc
}

// module is one Go module.
func module(id common.ElementID, path, version string) *v2_3.Package {
	return &v2_3.Package{
		PackageName: path, PackageSPDXIdentifier: id, PackageVersion: version, PackageDownloadLocation: unknown,
		PackageLicenseConcluded: unknown, PackageLicenseDeclared: unknown, PackageCopyrightText: unknown,
		PrimaryPackagePurpose: "LIBRARY",
		PackageExternalReferences: []*v2_3.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: "pkg:golang/" + path + "@" + version,
		}},
	}
}

func relationship(from common.ElementID, kind string, to common.ElementID) *v2_3.Relationship {
	return &v2_3.Relationship{RefA: common.MakeDocElementID("", string(from)), RefB: common.MakeDocElementID("", string(to)), Relationship: kind}
}
