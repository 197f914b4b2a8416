/** The members of an ApiKey's spec that a manifest needs, in YAML, indented by two; the value goes to the Secret. */
export function keySpecText({ displayName, secret }: { readonly displayName: string; readonly secret: string }): string {
  return `  displayName: ${displayName}
  catalog: default
  owner: ana
  contactEmail: ana@example.com
  accessType: Admin
  deliverTo:
  - name: local
    secret: { name: ${secret} }
`;
}
