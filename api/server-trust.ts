import {X509Certificate} from 'node:crypto';

/** How a server is known over HTTPS, and how it knows us; PEM texts. */
export interface ServerTrust {
  readonly certificate: string;
  readonly key: string;
  /** The server's own certificate, or that of whoever signed it; undefined for what this host trusts. */
  readonly authority: string | undefined;
}

/** What is wrong with a server's certificate. */
export type TrustProblem = 'unknown' | 'expired' | 'not_yet_valid' | 'other_name';

/** A server whose certificate is itself in `authority` is the one that was meant, whatever names are in it. */
export function isPinned({authority}: ServerTrust, fingerprint256: string): boolean {
  return authority !== undefined && fingerprintsOf(authority).includes(fingerprint256);
}

/** For `fetch`. */
export function fetchTls(trust: ServerTrust): BunFetchRequestInitTLS {
  const {certificate: cert, key, authority: ca} = trust;
  return {
    cert,
    key,
    ...(ca === undefined ? {} : {ca}),
    checkServerIdentity(host: string, {raw, fingerprint256}: {raw: Buffer; fingerprint256: string}) {
      const peer = new X509Certificate(raw);
      const isNamed = peer.checkHost(host) !== undefined || peer.checkIP(host) !== undefined;
      return isNamed || isPinned(trust, fingerprint256) ? undefined : new OtherName(host);
    },
  };
}

class OtherName extends Error {
  readonly code = 'ERR_TLS_CERT_ALTNAME_INVALID';

  constructor(host: string) {
    super(`the certificate is not for ${host}`);
  }
}

/** Null for an error that is about something else than the certificate of the server. */
export function trustProblem(error: unknown): TrustProblem | null {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (code === 'CERT_HAS_EXPIRED') return 'expired';
  if (code === 'CERT_NOT_YET_VALID') return 'not_yet_valid';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'other_name';
  return /SELF_SIGNED|UNABLE_TO|CERT_|UNTRUSTED|INVALID_/.test(code) ? 'unknown' : null;
}

function fingerprintsOf(pem: string): string[] {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return certificates.map((each) => new X509Certificate(each).fingerprint256);
}
