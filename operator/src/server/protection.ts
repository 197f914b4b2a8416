import { WatchedFile, type Refreshable, type Watched } from '../watchedfile.ts';
import { CallerTokensFault, parseCallerTokens } from './callers.ts';
import type { CallerTokens } from './callers.ts';
import { parseAuthorities, parseKeyPair, TlsFault } from './tls.ts';
import type { Authorities, KeyPair } from './tls.ts';

/** The files with a listener's protection, named like their environment variables. */
export interface ProtectionFiles {
  readonly tlsCertFile: string | undefined;
  readonly tlsKeyFile: string | undefined;
  readonly clientCaFile: string | undefined;
  readonly callerTokensFile: string | undefined;
}

/** The current content of those files; `undefined` = not configured. */
export interface Protection {
  readonly keyPair: Watched<KeyPair> | undefined;
  readonly clientCa: Watched<Authorities> | undefined;
  readonly callerTokens: Watched<CallerTokens> | undefined;
}

/** A protection read from files. */
export interface FileProtection extends Protection {
  /** All of its files, to watch. */
  readonly files: readonly Refreshable[];
}

/** No TLS and no callers: only for a listener that only this machine can reach. */
export const noProtection: Protection = { keyPair: undefined, clientCa: undefined, callerTokens: undefined };

/** Reads the files. Throws FileFault, {@link TlsFault} or {@link CallerTokensFault}, each with the path of the file (exit 2). */
export async function openProtection(files: ProtectionFiles): Promise<FileProtection> {
  const { tlsCertFile, tlsKeyFile, clientCaFile, callerTokensFile } = files;
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined)) throw new TlsFault('TLS needs both a certificate and a key');
  if (clientCaFile !== undefined && tlsCertFile === undefined)
    throw new TlsFault('client certificates need TLS: a certificate and a key');
  const keyPair = tlsCertFile === undefined || tlsKeyFile === undefined ? undefined : await openKeyPair(tlsCertFile, tlsKeyFile);
  const clientCa = clientCaFile === undefined ? undefined : await openClientCa(clientCaFile);
  const callerTokens = callerTokensFile === undefined ? undefined : await openCallerTokens(callerTokensFile);
  // While we run, an empty file removes the last token. At the start, as the only way in, it is a mistake.
  if (callerTokens?.value.size === 0 && clientCa === undefined)
    throw new CallerTokensFault(`${callerTokens.paths.join()}: the caller token file names no caller`);
  return {
    keyPair,
    clientCa,
    callerTokens,
    files: [keyPair, clientCa, callerTokens].filter((file) => file !== undefined),
  };
}

function openKeyPair(certPath: string, keyPath: string): Promise<WatchedFile<KeyPair>> {
  return WatchedFile.open({
    name: 'tls',
    paths: [certPath, keyPath],
    accept: ([cert = '', key = '']) => parseKeyPair({ path: certPath, text: cert }, { path: keyPath, text: key }),
  });
}

function openClientCa(path: string): Promise<WatchedFile<Authorities>> {
  return WatchedFile.open({ name: 'client-ca', paths: [path], accept: ([text = '']) => parseAuthorities({ path, text }) });
}

function openCallerTokens(path: string): Promise<WatchedFile<CallerTokens>> {
  return WatchedFile.open({ name: 'caller-tokens', paths: [path], accept: ([text = '']) => parseCallerTokens(path, text) });
}
