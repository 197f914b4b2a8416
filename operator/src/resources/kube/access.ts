import { createHash } from 'node:crypto';
import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../../domain/time.ts';
import { KubeconfigFault, currentContextOf, readKubeconfigs } from './kubeconfigfile.ts';

/** TLS options of a connection, as node:tls takes them. */
export interface TlsOptions {
  readonly ca?: RequestOptions['ca'];
  readonly cert?: RequestOptions['cert'];
  readonly key?: RequestOptions['key'];
  readonly passphrase?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Where the API server is, and what proves who we are, at one moment. */
export interface Access {
  /** Scheme, host and port. */
  readonly origin: string;
  /** What the server's address has as a path, without a final slash: proxies such as Rancher's have one. */
  readonly basePath: string;
  readonly proxyUrl: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsOptions;
  /** Differs when a new connection is needed: another certificate, authority, server or proxy. */
  readonly connectionKey: string;
}

/** Credentials that are read anew while the process runs: tokens and certificates are rotated on disk. */
export interface AccessSource {
  current(): Promise<Access>;
  /** The server said 401 to `used`: forget it, an exec plugin's cached token included, unless something newer is there. */
  invalidate(used: Access): void;
}

/** client-node itself re-reads a token file after a minute. */
const cachedForMs = 10_000;
/** An exec plugin or an identity provider that hangs must not hang us. */
const authenticationTimeoutMs = 30_000;

/**
 * Reads `kubeconfig` (a path, or several as in `$KUBECONFIG`), or the Pod's ServiceAccount when it is absent.
 * client-node is loaded on first use: it is large, and the authorizer has no use for it. Rejects with a {@link KubeconfigFault}
 * that says what is wrong with the file.
 */
export async function loadAccess(kubeconfig: string | undefined, clock: Clock): Promise<AccessSource> {
  let config = await readConfig(kubeconfig);
  let cached: { readonly access: Promise<Access>; readonly atMs: number } | undefined;
  let latest: Access | undefined;
  let isStale = false;
  const read = async (): Promise<Access> => {
    if (isStale) {
      // A fresh KubeConfig has none of the old one's cached tokens.
      config = await readConfig(kubeconfig);
      isStale = false;
    }
    latest = await accessOf(config);
    return latest;
  };
  return {
    current: () => {
      if (cached === undefined || clock.monotonicMs() - cached.atMs >= cachedForMs) {
        const access = withDeadline(read());
        cached = { access, atMs: clock.monotonicMs() };
        // A failed reading is not kept.
        access.catch(() => (cached = undefined));
      }
      return cached.access;
    },
    invalidate: (used) => {
      // Calls that went out together are refused together: one of them is enough to run an exec plugin again.
      if (latest === undefined || used.headers['authorization'] !== latest.headers['authorization']) return;
      latest = undefined;
      isStale = true;
      cached = undefined;
    },
  };
}

async function readConfig(kubeconfig: string | undefined): Promise<KubeConfig> {
  const { KubeConfig } = await import('./kubeconfig.ts');
  const config = new KubeConfig();
  if (kubeconfig === undefined) {
    config.loadFromCluster();
  } else {
    const { cluster, user } = currentContextOf(await readKubeconfigs(kubeconfig));
    const name = 'current';
    config.loadFromString(
      JSON.stringify({
        ...{
          clusters: [{ name, cluster }],
          users: [{ name, user }],
          contexts: [{ name, context: { cluster: name, user: name } }],
        },
        'current-context': name,
      }),
    );
  }
  // Outside of a Pod client-node makes up a server `https://undefined:undefined`, which would be waited for.
  if (!URL.canParse(config.getCurrentCluster()?.server ?? ''))
    throw new KubeconfigFault('the server of the cluster in the current context is no URL');
  return config;
}

async function accessOf(config: KubeConfig): Promise<Access> {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error('the kubeconfig names no cluster in its current context');
  const options: RequestOptions & { servername?: string; rejectUnauthorized?: boolean; passphrase?: string } = {};
  await config.applyToHTTPSOptions(options);
  const server = new URL(cluster.server);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (typeof options.auth === 'string') headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  const { ca, cert, key, passphrase, servername, rejectUnauthorized } = options;
  const tls: TlsOptions = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
  const { proxyUrl } = cluster;
  if (proxyUrl?.startsWith('socks') === true) throw new KubeconfigFault('proxy-url: a SOCKS proxy is not supported');
  const connectionKey = createHash('sha256')
    .update(JSON.stringify([server.href, proxyUrl, tls]))
    .digest('hex');
  return { origin: server.origin, basePath: server.pathname.replace(/\/+$/, ''), proxyUrl, headers, tls, connectionKey };
}

async function withDeadline<T>(work: Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(authenticationTimeoutMs);
  const late = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(new Error('the credentials could not be had in time'));
    });
  });
  return Promise.race([work, late]);
}
