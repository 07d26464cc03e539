// Gomodule packs a module of this repository's last commit as a Go module proxy serves it.
//
//	gomodule REPOSITORY SUBDIRECTORY MODULE VERSION INTO
//
// It writes MODULE/@v/ below INTO: list, VERSION.info, VERSION.mod, VERSION.zip. A consumer with
// GOPROXY=file://INTO then has the module.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 6 {
		log.Fatal("gomodule REPOSITORY SUBDIRECTORY MODULE VERSION INTO")
	}
	if err := pack(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
		log.Fatal(err)
	}
}

func pack(repository, subdirectory, path, version, into string) error {
	if err := module.Check(path, version); err != nil {
		return err
	}
	folder := filepath.Join(into, path, "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(folder, version+".zip"))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := zip.CreateFromVCS(file, module.Version{Path: path, Version: version}, repository, "HEAD", subdirectory); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(repository, subdirectory, "go.mod"))
	if err != nil {
		return err
	}
	info, err := json.Marshal(map[string]string{"Version": version})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": info,
		version + ".mod":  mod,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return file.Close()
}
