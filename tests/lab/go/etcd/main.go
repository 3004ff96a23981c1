// etcd as a module of its own: the module of its server cannot be built where it was downloaded to.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
