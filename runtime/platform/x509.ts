import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import type {Certificate} from './certificate.ts';

/** What certificates are made for. Instants are epoch ms. */
export interface CertificateRequest {
  readonly names: readonly string[];
  readonly fromMs: number;
  readonly untilMs: number;
}

/**
 * An authority, with its key, that can sign certificates for `names` and what is below them, for no other name and for
 * no address (RFC 5280 section 4.2.1.10), and no further authority.
 */
export function makeAuthority({names, ...validity}: CertificateRequest): Certificate {
  const pair = generateKeyPairSync('ec', {namedCurve: 'P-256'});
  const keyId = keyIdOf(pair.publicKey);
  const permitted = names.map((name) => sequence(dnsName(name)));
  const excluded = [ipv4Bytes, ipv6Bytes].map((bytes) => sequence(tlv(tags.ipAddress, Buffer.alloc(bytes))));
  const certificate = signed({
    ...validity,
    issuer: authoritySubject,
    subject: authoritySubject,
    publicKey: pair.publicKey,
    signingKey: pair.privateKey,
    extensions: [
      extension('551d13', sequence(boolean(true), integer(Buffer.of(0))), {critical: true}),
      // keyCertSign
      extension('551d0f', bits(Buffer.of(0x04), 2), {critical: true}),
      extension('551d1e', sequence(tlv(tags.first, ...permitted), tlv(tags.second, ...excluded)), {
        critical: true,
      }),
      extension('551d0e', octets(keyId)),
    ],
  });
  return {certificate, key: pemOf(pair.privateKey)};
}

/** The certificate of a server, with a key of its own. */
export function makeServerCertificate(
  authority: Certificate,
  {names, ...validity}: CertificateRequest,
): Certificate {
  const pair = generateKeyPairSync('ec', {namedCurve: 'P-256'});
  const {publicKey: authorityKey} = new X509Certificate(authority.certificate);
  const certificate = signed({
    ...validity,
    issuer: authoritySubject,
    subject: serverSubject,
    publicKey: pair.publicKey,
    signingKey: createPrivateKey(authority.key),
    extensions: [
      extension('551d13', sequence(), {critical: true}),
      // digitalSignature
      extension('551d0f', bits(Buffer.of(0x80), 7), {critical: true}),
      // serverAuth
      extension('551d25', sequence(objectId('2b06010505070301'))),
      extension('551d11', sequence(...names.map(dnsName))),
      extension('551d23', sequence(tlv(tags.keyIdentifier, keyIdOf(authorityKey)))),
      extension('551d0e', octets(keyIdOf(pair.publicKey))),
    ],
  });
  return {certificate, key: pemOf(pair.privateKey)};
}

/** An address and its mask. */
const ipv4Bytes = 8;
const ipv6Bytes = 32;

const serialBytes = 16;
/** From this year on a time has four digits for it (RFC 5280 section 4.1.2.5). */
const firstLongYear = 2050;

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  objectId: 0x06,
  text: 0x0c,
  shortTime: 0x17,
  longTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** Which of several parts this is. */
  first: 0xa0,
  second: 0xa1,
  fourth: 0xa3,
  keyIdentifier: 0x80,
  dnsName: 0x82,
  ipAddress: 0x87,
} as const;

const ecdsaWithSha256 = sequence(objectId('2a8648ce3d040302'));
const authoritySubject = subjectOf('Branchtab container authority');
const serverSubject = subjectOf('Branchtab container');

interface Unsigned {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly publicKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly extensions: readonly Buffer[];
}

function signed(wanted: Unsigned): string {
  const {issuer, subject, fromMs, untilMs, publicKey, signingKey, extensions} = wanted;
  const serial = randomBytes(serialBytes);
  // Neither negative nor with a zero in front.
  serial.writeUInt8((serial.readUInt8() & 0x3f) | 0x40);
  const content = sequence(
    // Version 3
    tlv(tags.first, integer(Buffer.of(2))),
    integer(serial),
    ecdsaWithSha256,
    issuer,
    sequence(time(fromMs), time(untilMs)),
    subject,
    publicKey.export({type: 'spki', format: 'der'}),
    tlv(tags.fourth, sequence(...extensions)),
  );
  const der = sequence(content, ecdsaWithSha256, bits(sign('sha256', content, signingKey), 0));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function pemOf(key: KeyObject): string {
  return key.export({type: 'pkcs8', format: 'pem'}).toString();
}

function keyIdOf(key: KeyObject): Buffer {
  return createHash('sha256')
    .update(key.export({type: 'spki', format: 'der'}))
    .digest()
    .subarray(0, 20);
}

/** One tag with its length and content (X.690 section 8.1). */
function tlv(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body]);
  const digits = body.length.toString(16);
  const length = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.of(tag, 0x80 | length.length), length, body]);
}

function sequence(...content: readonly Buffer[]): Buffer {
  return tlv(tags.sequence, ...content);
}

function integer(bytes: Buffer): Buffer {
  return tlv(tags.integer, bytes);
}

function boolean(value: boolean): Buffer {
  return tlv(tags.boolean, Buffer.of(value ? 0xff : 0));
}

function octets(bytes: Buffer): Buffer {
  return tlv(tags.octets, bytes);
}

function bits(bytes: Buffer, unused: number): Buffer {
  return tlv(tags.bits, Buffer.of(unused), bytes);
}

/** `hex` is the identifier as X.690 section 8.19 encodes it. */
function objectId(hex: string): Buffer {
  return tlv(tags.objectId, Buffer.from(hex, 'hex'));
}

function extension(id: string, value: Buffer, {critical = false} = {}): Buffer {
  return sequence(objectId(id), ...(critical ? [boolean(true)] : []), octets(value));
}

function dnsName(name: string): Buffer {
  return tlv(tags.dnsName, Buffer.from(name, 'latin1'));
}

/** A name that is nothing but its common name. */
function subjectOf(commonName: string): Buffer {
  return sequence(
    tlv(tags.set, sequence(objectId('550403'), tlv(tags.text, Buffer.from(commonName, 'utf8')))),
  );
}

function time(atMs: number): Buffer {
  const digits = new Date(atMs)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '');
  const isShort = Number(digits.slice(0, 4)) < firstLongYear;
  return tlv(isShort ? tags.shortTime : tags.longTime, Buffer.from(isShort ? digits.slice(2) : digits));
}
