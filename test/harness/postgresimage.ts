import { realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mount } from './container.ts';
import type { ContainerImage } from './kubelet.ts';
import { packagedBinaries } from './postgres.ts';
import { privateDir } from './process.ts';

/**
 * What stands for the official image of PostgreSQL: a real server from the npm package, behind a script that does what the
 * entrypoint of the image promises. It listens on port 5432 of a loopback address.
 */
export function postgresImage(address: string): ContainerImage {
  const users = join(privateDir('postgres-image'), 'passwd');
  writeFileSync(users, 'postgres:x:999:999::/var/lib/postgresql:/bin/sh\n');
  const mount = (source: string, target: string): Mount => ({ source, target, readOnly: true });
  return {
    entrypoint: ['/bin/sh', '/usr/local/bin/entrypoint.sh'],
    env: { LISTEN: address },
    // A fast shutdown: it waits for no client.
    stopSignal: 'SIGINT',
    mounts: [
      mount(realpathSync('/bin/sh'), '/bin/sh'),
      mount(join(import.meta.dirname, 'postgresimage.sh'), '/usr/local/bin/entrypoint.sh'),
      mount(packagedBinaries(), '/usr/local/pgsql'),
      mount(users, '/etc/passwd'),
    ],
  };
}

/** A file for `/etc/hosts` in which names have an address, as the DNS of a cluster would say. */
export function hostsWith(address: string, names: readonly string[]): Mount {
  const file = join(privateDir('hosts'), 'hosts');
  writeFileSync(file, ['127.0.0.1 localhost', ...names.map((name) => `${address} ${name}`), ''].join('\n'));
  return { source: file, target: '/etc/hosts', readOnly: true };
}
