import { describe, expect, it } from 'vitest';
import { guardedLookup, type Resolve } from '../../../operator/src/destinations/connect.ts';
import {
  isForbiddenAddress,
  isLoopbackAddress,
  noExtraEndpoints,
  permitAwsEndpoint,
  permitEndpoint,
} from '../../../operator/src/destinations/endpoint.ts';
import { addressOf, originOf } from '../../../operator/src/domain/serveraddress.ts';

const field = 'spec.vault.address';
const inPod = { ...noExtraEndpoints, inPod: true };
const permit = (url: string, rules = noExtraEndpoints) => permitEndpoint(url, field, rules);
const refusal = (saying: string) =>
  expect.objectContaining({
    kind: 'stalled',
    reason: 'InvalidSpec',
    message: expect.stringContaining(saying) as string,
  }) as Error;

describe('a server that a KeyDestination names', () => {
  it.each([
    ['https://Vault.Example.com:443', 'https://vault.example.com'],
    ['https://vault.example.com:8200', 'https://vault.example.com:8200'],
    ['http://127.0.0.1:8200', 'http://127.0.0.1:8200'],
    ['http://[::1]:8200', 'http://[::1]:8200'],
    ['http://localhost:8200', 'http://localhost:8200'],
    ['https://10.0.0.7', 'https://10.0.0.7'],
    ['https://Gateway.example.com:443/Vault/eu-1/', 'https://gateway.example.com/Vault/eu-1'],
    ['https://vault.example.com/', 'https://vault.example.com'],
  ])('may be %s outside of a Pod', (url, address) => {
    expect(permit(url)).toEqual({ address, mayLoopback: true });
    expect(addressOf(url)).toBe(address);
  });

  it.each(['http://vault.example.com:8200', 'http://10.0.0.7', 'http://localhost.:80', 'http://localhost.example.com'])(
    'may be %s only where the installation lists it, field and variable named',
    (url) => {
      expect(() => permit(url)).toThrow(refusal(`${field} must be https`));
      const origin = originOf(url) ?? '';
      expect(() => permit(url)).toThrow(refusal(`list ${origin} in KEYWRIGHT_INSECURE_DESTINATIONS`));
      expect(permit(url, { ...noExtraEndpoints, insecure: [origin] })).toMatchObject({ address: origin });
    },
  );

  it.each([
    'http://127.0.0.1:9090',
    'https://127.0.0.1:8200',
    'http://localhost',
    'http://[::ffff:127.0.0.1]',
    'http://2130706433',
  ])('may be %s in a Pod only where the installation lists it: it is the Pod itself', (url) => {
    expect(() => permit(url, inPod)).toThrow(refusal('leads to the Pod of the operator itself'));
    expect(permit(url, { ...inPod, insecure: [originOf(url) ?? ''] }).mayLoopback).toBe(true);
  });

  it.each([
    'https://169.254.169.254',
    'http://169.254.169.254',
    'https://2852039166',
    'https://0xa9.0xfe.0xa9.0xfe',
    'https://[::ffff:169.254.169.254]',
    'https://[fe80::1]',
    'https://[fd00:ec2::254]',
    'https://168.63.129.16',
    'https://0.0.0.0',
    'https://[::]',
    'https://224.0.0.1',
  ])('is never %s, whatever the installation lists', (url) => {
    const insecure = [originOf(url) ?? ''];
    expect(() => permit(url, { ...noExtraEndpoints, insecure })).toThrow(refusal('link-local'));
  });

  it.each([
    ...[
      'ftp://vault',
      'https://',
      'https://user@vault',
      'https://vault?x',
      'vault:8200',
      'https://a b',
      'https://a/b?c',
      'https://a/b#c',
    ],
    ...[
      'https://a//b',
      'https://a/b//',
      'https://a/../b',
      'https://a/.',
      'https://a/%2e%2e/b',
      'https://a/b%2Fc',
      'https://a/b c',
      'https://a/b;c',
    ],
  ])('is not %s', (url) => {
    expect(() => permit(url)).toThrow(refusal('must be a URL of scheme, host, port and a plain path only'));
  });
});

describe('an endpoint of AWS', () => {
  const place = { service: 'sts', region: 'eu-west-1', field: 'spec.aws.stsEndpoint' } as const;

  it.each(['https://sts.eu-west-1.amazonaws.com', 'https://sts-fips.eu-west-1.amazonaws.com', 'https://sts.eu-west-1.api.aws'])(
    'may be %s',
    (url) => expect(permitAwsEndpoint(url, place, noExtraEndpoints)?.address).toBe(url),
  );

  it.each([
    'https://sts.eu-west-1.amazonaws.com.example.com',
    'https://sts.us-east-1.amazonaws.com',
    'https://secretsmanager.eu-west-1.amazonaws.com',
    'https://sts.amazonaws.com.evil.io',
    'https://bucket.s3.eu-west-1.amazonaws.com',
    'https://vpce-1-2.vpce-svc-3.eu-west-1.vpce.amazonaws.com',
    'https://sts.eu-west-1.amazonaws.com:8443',
    'http://sts.eu-west-1.amazonaws.com',
    'http://127.0.0.1:4566',
  ])('may be %s only where the installation lists it', (url) => {
    expect(() => permitAwsEndpoint(url, place, noExtraEndpoints)).toThrow(
      refusal(`spec.aws.stsEndpoint is not an AWS endpoint for eu-west-1; to permit it, list ${url} in KEYWRIGHT_AWS_ENDPOINTS`),
    );
    const listed = { ...noExtraEndpoints, awsEndpoints: [url], insecure: [url] };
    expect(permitAwsEndpoint(url, place, listed)?.address).toBe(url);
  });

  it('has no path', () => {
    const url = 'https://sts.eu-west-1.amazonaws.com/other';
    const listed = { ...noExtraEndpoints, awsEndpoints: [url, 'https://sts.eu-west-1.amazonaws.com'] };
    expect(() => permitAwsEndpoint(url, place, listed)).toThrow(refusal('must be a URL of scheme, host and port only'));
  });

  it('needs more than the list of AWS to be plain HTTP', () => {
    const listed = { ...noExtraEndpoints, awsEndpoints: ['http://sts.example.com'] };
    expect(() => permitAwsEndpoint('http://sts.example.com', place, listed)).toThrow(refusal('must be https'));
  });
});

describe('the look-up of a name', () => {
  const leadsTo =
    (...addresses: string[]): Resolve =>
    (_name, _options, done) =>
      done(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
  const lookUp = (resolve: Resolve, mayLoopback: boolean, all: boolean) =>
    new Promise((resolved, reject) => {
      guardedLookup(mayLoopback, resolve)('vault.example.com', { all }, (error, address) => {
        if (error === null) resolved(address);
        else reject(error);
      });
    });

  it.each([
    '169.254.169.254',
    '::ffff:169.254.169.254',
    'fd00:ec2::254',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::168.63.129.16',
    '64:ff9b::6464:64c8',
    '0.0.0.0',
  ])('fails when it leads to %s, also beside a harmless address', async (address) => {
    for (const all of [true, false])
      await expect(lookUp(leadsTo('10.0.0.7', address), true, all)).rejects.toMatchObject({ code: 'FORBIDDEN_ADDRESS' });
    expect(isForbiddenAddress(address)).toBe(true);
  });

  it('leads to loopback only where that may be', async () => {
    for (const address of ['127.0.0.9', '::1', '::ffff:7f00:1']) {
      expect(isLoopbackAddress(address)).toBe(true);
      await expect(lookUp(leadsTo(address), false, true)).rejects.toMatchObject({ code: 'FORBIDDEN_ADDRESS' });
      expect(await lookUp(leadsTo(address), true, false)).toBe(address);
    }
  });

  it('gives what the system gives, otherwise', async () => {
    const addresses = [
      { address: '10.0.0.7', family: 4 },
      { address: 'fd00::7', family: 6 },
    ];
    expect(await lookUp(leadsTo('10.0.0.7', 'fd00::7'), false, true)).toEqual(addresses);
    const nobody: Resolve = (_name, _options, done) => done(Object.assign(new Error('x'), { code: 'ENOTFOUND' }), []);
    await expect(lookUp(nobody, false, true)).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(lookUp(leadsTo(), false, true)).rejects.toMatchObject({ code: 'FORBIDDEN_ADDRESS' });
  });
});
