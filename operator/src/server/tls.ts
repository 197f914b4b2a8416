import { createPrivateKey, constants, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContextOptions, TLSSocket, TlsOptions } from 'node:tls';

import type { Instant } from '../domain/time.ts';

/** A certificate chain and the private key of its first certificate, PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** CAs whose client certificates are accepted. */
export interface Authorities {
  /** PEM. */
  readonly text: string;
  /** SHA-256 of each certificate, to compare two sets. */
  readonly fingerprints: ReadonlySet<string>;
}

/** PEM texts. With `clientCa`, the server asks a peer for a certificate; with `clientRequired`, the peer must show one. */
export interface TlsMaterial extends KeyPair {
  readonly clientCa?: string;
  readonly clientRequired?: boolean;
}

/** Says what is wrong with certificates or a key, in our own words, with the path of the file. */
export class TlsFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TlsFault';
  }
}

/** A file: its path, for messages, and its text. */
export interface PemFile {
  readonly path: string;
  readonly text: string;
}

const certificatePattern = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Reads a certificate chain and its key. Throws {@link TlsFault}, also if they do not belong together. */
export function parseKeyPair(cert: PemFile, key: PemFile): KeyPair {
  const [first] = parseCertificates(cert);
  let privateKey;
  try {
    privateKey = createPrivateKey(key.text);
  } catch {
    throw new TlsFault(`${key.path}: this is not a private key in PEM without a passphrase`);
  }
  if (first?.checkPrivateKey(privateKey) !== true)
    throw new TlsFault(`${key.path}: this is not the key of the first certificate in ${cert.path}`);
  assertUsable(cert.path, { cert: cert.text, key: key.text });
  return { cert: cert.text, key: key.text };
}

/** Reads CAs for client certificates. Throws {@link TlsFault}. */
export function parseAuthorities(file: PemFile): Authorities {
  const certificates = parseCertificates(file);
  assertUsable(file.path, { ca: file.text });
  return { text: file.text, fingerprints: new Set(certificates.map(({ fingerprint256 }) => fingerprint256)) };
}

/** Whether the second set accepts every certificate that the first one accepts. */
export function isWithin(before: Authorities, after: Authorities): boolean {
  return [...before.fingerprints].every((fingerprint) => after.fingerprints.has(fingerprint));
}

/** OpenSSL has rules of its own, such as the least length of a key. */
function assertUsable(path: string, material: SecureContextOptions): void {
  try {
    createSecureContext(material);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new TlsFault(`${path}: OpenSSL does not accept it (${code})`);
  }
}

function parseCertificates({ path, text }: PemFile): readonly X509Certificate[] {
  const blocks = text.match(certificatePattern) ?? [];
  if (blocks.length === 0) throw new TlsFault(`${path}: there is no certificate in PEM`);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new TlsFault(`${path}: certificate ${index + 1} cannot be read`);
    }
  });
}

/**
 * The options of node:tls for the material. With client certificates there are no session tickets, and node:tls has no other way
 * to resume: every connection shows its own certificate. (Up to Node 24.20, a resumed TLS 1.3 session without a certificate
 * counted as authorised.)
 */
export function tlsOptions(tls: TlsMaterial): TlsOptions & SecureContextOptions {
  const server = { cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' } as const;
  if (tls.clientCa === undefined) return server;
  return {
    ...server,
    ca: tls.clientCa,
    requestCert: true,
    rejectUnauthorized: tls.clientRequired === true,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** The client certificate of one connection. */
export interface ClientCertificate {
  /** Its SHA-256. */
  readonly fingerprint: string;
  readonly validUntil: Instant;
}

/**
 * The valid client certificate of a connection; `undefined` = none. An authorised handshake is not enough: this very connection must
 * have shown it.
 */
export function certificateOf(socket: TLSSocket): ClientCertificate | undefined {
  if (!socket.authorized || socket.isSessionReused()) return undefined;
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined
    ? undefined
    : { fingerprint: certificate.fingerprint256, validUntil: Date.parse(certificate.validTo) };
}
