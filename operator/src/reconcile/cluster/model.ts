import type { ApiCatalog, ApiCatalogSpec, Grant, KeyOwner, KeyOwnerGroup } from '../../api/kinds.ts';
import { digestOf } from '../../store/digest.ts';
import type { AccessType, ApplicationPlace, CatalogModel, GrantRule } from '../../domain/catalog.ts';
import type { CatalogRow, GroupRow, OwnerRow } from '../../store/port.ts';

/** A catalog's specification as the store keeps it: what verdicts need, and what keys may ask for; no descriptions. */
export function toCatalogModel(spec: ApiCatalogSpec): CatalogModel {
  const { key, scopes, endpoints, applications, channels, attributes, credentials, policy } = spec;
  const { expiredStatus, requireHttps, ...minting } = policy;
  return {
    key: { prefix: key.prefix, environment: key.environment },
    accessTypes: spec.accessTypes.map(toAccessType),
    scopes: scopes.map(({ name, endpoints: members }) => ({ name, endpoints: members })),
    endpoints,
    applications: applications.map(({ slug }) => slug),
    channels: channels.map(({ slug }) => slug),
    attributes,
    requests: toRequests(spec.requests),
    credentials: {
      headers: credentials.headers.map(({ name, scheme }) => ({ name, ...(scheme === undefined ? {} : { scheme }) })),
      foreignBearer: credentials.foreignBearer,
    },
    policy: { expiredStatus, requireHttps },
    minting,
  };
}

function toAccessType(type: ApiCatalogSpec['accessTypes'][number]): AccessType {
  const { name, endpoints, admin, transactional, scopes = [], namespaces } = type;
  return { name, endpoints, scopes, admin, transactional, ...(namespaces === undefined ? {} : { namespaces }) };
}

function toRequests({ hosts, application, customer, targetChannels }: ApiCatalogSpec['requests']): CatalogModel['requests'] {
  const place = application === undefined ? undefined : toPlace(application);
  return {
    hosts,
    ...(place === undefined ? {} : { application: place }),
    ...(customer === undefined ? {} : { customer }),
    ...(targetChannels === undefined ? {} : { targetChannels }),
  };
}

function toPlace({ pathParam, header }: { readonly pathParam?: string; readonly header?: string }): ApplicationPlace | undefined {
  if (pathParam !== undefined) return { pathParam };
  return header === undefined ? undefined : { header };
}

/**
 * The specification that a model was made from, without descriptions: what stays in force when an edit is invalid and
 * the operator that saw the valid one has ended. `undefined` for a model without its minting policy.
 */
export function toCatalogSpec(model: CatalogModel): ApiCatalogSpec | undefined {
  if (model.minting === undefined) return undefined;
  const { key, scopes, endpoints, attributes, requests, credentials, policy, minting } = model;
  return {
    key,
    accessTypes: model.accessTypes.map(({ scopes: listed, namespaces, ...type }) => ({
      ...type,
      ...(type.endpoints === 'Listed' ? { scopes: listed } : {}),
      ...(namespaces === undefined ? {} : { namespaces: namespaces as NonNullable<SpecAccessType['namespaces']> }),
    })),
    scopes,
    endpoints: endpoints as ApiCatalogSpec['endpoints'],
    applications: model.applications.map((slug) => ({ slug })),
    channels: model.channels.map((slug) => ({ slug })),
    attributes,
    requests,
    credentials,
    policy: { ...policy, ...minting },
  };
}

type SpecAccessType = ApiCatalogSpec['accessTypes'][number];

/** What the store is to know of a valid catalog. */
export function toCatalogRow(catalog: ApiCatalog): CatalogRow {
  const model = toCatalogModel(catalog.spec);
  return { uid: catalog.metadata.uid, name: catalog.metadata.name, digest: digestOf(model), model };
}

/** What the store is to know of an owner. */
export function toOwnerRow({ metadata, spec }: KeyOwner): OwnerRow {
  const { uid, name } = metadata;
  return { uid, name, disabled: spec.disabled, groups: spec.groups, rules: spec.grants.map(toRule) };
}

/** What the store is to know of a group. */
export function toGroupRow({ metadata, spec }: KeyOwnerGroup): GroupRow {
  return { uid: metadata.uid, name: metadata.name, rules: spec.grants.map(toRule) };
}

function toRule({ catalog, admin, accessTypes, scopes, endpoints, applications, channels, attributes }: Grant): GrantRule {
  return { catalog, admin, accessTypes, scopes, endpoints, applications, channels, attributes };
}
