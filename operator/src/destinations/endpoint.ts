import { BlockList, isIP } from 'node:net';
import { stalled } from '../domain/failure.ts';
import { addressOf, originOf } from '../domain/serveraddress.ts';

/**
 * Which servers the installation permits beyond the default. An entry is an origin (scheme, host and port) unless stated
 * otherwise.
 */
export interface EndpointRules {
  /** Vault servers that may get credentials not made for them alone, with their path if they have one. KEYWRIGHT_VAULT_ADDRESSES. */
  readonly vaultAddresses: readonly string[];
  /** Endpoints besides those of AWS itself. KEYWRIGHT_AWS_ENDPOINTS. */
  readonly awsEndpoints: readonly string[];
  /** Servers over plain HTTP, and servers on the loopback of a Pod. KEYWRIGHT_INSECURE_DESTINATIONS. */
  readonly insecure: readonly string[];
  /** In a Pod, loopback is the Pod itself: the health port of the operator, sidecars. */
  readonly inPod: boolean;
}

/** The default: nothing beyond HTTPS and, outside of a Pod, loopback. */
export const noExtraEndpoints: EndpointRules = { vaultAddresses: [], awsEndpoints: [], insecure: [], inPod: false };

/** A server that may be connected to. */
export interface Endpoint {
  /** Scheme, host and port, in lower case, without the default port; then the path of the server behind a gateway, if any. */
  readonly address: string;
  /** Whether its name may lead to a loopback address. */
  readonly mayLoopback: boolean;
}

/** What each service of AWS is called in its host names. */
export type AwsService = 'secretsmanager' | 'sts';

/**
 * The domains of AWS's partitions, as in the endpoint rules of its SDK. Nobody else can register a host `<service>.<region>`
 * under them.
 *
 * @see https://docs.aws.amazon.com/general/latest/gr/rande.html
 */
const awsDomains = ['amazonaws.com', 'amazonaws.com.cn', 'amazonaws.eu', 'api.aws', 'c2s.ic.gov', 'sc2s.sgov.gov'];

type Network = readonly [address: string, bits: number];

/**
 * Addresses that no destination can have: link-local addresses, among them the metadata services of most clouds, the metadata and
 * host services that lie elsewhere (AWS over IPv6, Azure, Alibaba, Oracle, Google over IPv6), the unspecified addresses, which
 * lead to loopback, and multicast. This includes IPv4 addresses inside IPv6 ones.
 */
const forbiddenIpv4: readonly Network[] = [
  ['169.254.0.0', 16],
  ['0.0.0.0', 8],
  ['224.0.0.0', 4],
  ['255.255.255.255', 32],
  ['168.63.129.16', 32],
  ['100.100.100.200', 32],
  ['192.0.0.192', 32],
];
const forbidden = blockList([
  ...forbiddenIpv4,
  ...forbiddenIpv4.map(throughNat64),
  ['fe80::', 10],
  ['ff00::', 8],
  ['::', 128],
  ['fd00:ec2::', 32],
  ['fd20:ce::254', 128],
]);
const loopbackIpv4: Network = ['127.0.0.0', 8];
const loopback = blockList([loopbackIpv4, throughNat64(loopbackIpv4), ['::1', 128]]);

/** The IPv6 addresses that a NAT64 gateway turns into these IPv4 addresses (RFC 6052 section 2.1). */
function throughNat64([address, bits]: Network): Network {
  return [`64:ff9b::${address}`, 96 + bits];
}

/** Whether an address is one that no destination has, whatever the installation permits. */
export function isForbiddenAddress(address: string): boolean {
  return contains(forbidden, address);
}

/** Whether an address leads back to this machine, or in a cluster to this Pod. */
export function isLoopbackAddress(address: string): boolean {
  return contains(loopback, address);
}

/** Throws `stalled InvalidSpec`, naming the field and what permits the URL, when the installation does not permit it. */
export function permitEndpoint(url: string, field: string, rules: EndpointRules): Endpoint {
  const address = addressOf(url);
  if (address === undefined) throw stalled('InvalidSpec', `${field} must be a URL of scheme, host, port and a plain path only`);
  const { origin } = new URL(address);
  const { protocol, hostname } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isForbiddenAddress(host)) {
    throw stalled('InvalidSpec', `${field} must not be a link-local, metadata, unspecified or multicast address`);
  }
  const isListed = rules.insecure.includes(origin);
  const isLoopback = isIP(host) === 0 ? /^(?:.+\.)?localhost$/.test(host) : isLoopbackAddress(host);
  const permit = `list ${origin} in KEYWRIGHT_INSECURE_DESTINATIONS (chart: destinations.insecure)`;
  if (isLoopback && rules.inPod && !isListed) {
    throw stalled('InvalidSpec', `${field} leads to the Pod of the operator itself; to permit that, ${permit}`);
  }
  if (protocol === 'http:' && !isLoopback && !isListed) {
    throw stalled('InvalidSpec', `${field} must be https: plain HTTP shows credentials and keys; to permit it, ${permit}`);
  }
  return { address, mayLoopback: isListed || !rules.inPod };
}

/**
 * The same for an AWS endpoint, which gets the operator's credentials: it must be AWS's own for the region, or listed by the
 * installation. Absent = the SDK's default for the region.
 */
export function permitAwsEndpoint(
  url: string | undefined,
  place: { readonly service: AwsService; readonly region: string; readonly field: string },
  rules: EndpointRules,
): Endpoint | undefined {
  if (url === undefined) return undefined;
  const { service, region, field } = place;
  const origin = originOf(url);
  if (origin === undefined) throw stalled('InvalidSpec', `${field} must be a URL of scheme, host and port only`);
  const own = awsDomains.flatMap((domain) => [service, `${service}-fips`].map((name) => `https://${name}.${region}.${domain}`));
  if (!own.includes(origin) && !rules.awsEndpoints.includes(origin)) {
    throw stalled(
      'InvalidSpec',
      `${field} is not an AWS endpoint for ${region}; to permit it, list ${origin} in KEYWRIGHT_AWS_ENDPOINTS (chart: destinations.awsEndpoints)`,
    );
  }
  return permitEndpoint(url, field, rules);
}

function blockList(ranges: readonly Network[]): BlockList {
  const list = new BlockList();
  for (const [address, bits] of ranges) list.addSubnet(address, bits, familyOf(address));
  return list;
}

function contains(list: BlockList, address: string): boolean {
  return isIP(address) !== 0 && list.check(address, familyOf(address));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
