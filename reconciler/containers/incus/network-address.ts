import {createHash} from 'node:crypto';
import {AppError} from '../../../schemas/errors.ts';
import type {IncusNetwork} from './incus.ts';

/** IPv4 address of a container in a network of the server. */
export interface NetworkAddress {
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string;
}

/** More are not looked at: a network so full is too small. */
const looks = 4096;

/**
 * An address of the network that nobody has: the same one again for the same container as long as that is free.
 * Throws PROVIDER_UNAVAILABLE where there is none.
 */
export function chooseAddress(
  {gateway, taken}: IncusNetwork,
  {id, network}: {readonly id: string; readonly network: string},
): NetworkAddress {
  const [own = '', length = ''] = gateway.split('/');
  const prefixLength = Number(length);
  const number = toNumber(own);
  if (number !== null && Number.isInteger(prefixLength) && prefixLength >= 8 && prefixLength <= 30) {
    const size = 2 ** (32 - prefixLength);
    const base = Math.floor(number / size) * size;
    const first = createHash('sha256').update(id).digest().readUInt32BE(0);
    for (let look = 0; look < Math.min(size - 2, looks); look += 1) {
      // Neither the network itself nor its broadcast address.
      const address = toText(base + 1 + ((first + look) % (size - 2)));
      if (address !== own && !taken.has(address)) return {address, prefixLength, gateway: own};
    }
  }
  throw new AppError(
    'PROVIDER_UNAVAILABLE',
    `The network ${network} of the Incus server has no free address in ${gateway}. Give it a larger one, or remove containers.`,
  );
}

/**
 * Gateway of a network of our own, with room for a thousand containers. The server would look for one by asking who
 * answers, which takes seconds and finds none where a router answers for all.
 */
export function ownGateway(owner: string): string {
  const number = createHash('sha256').update(owner).digest().readUInt16BE(0) % 4096;
  return `10.${64 + (number >> 6)}.${(number & 63) << 2}.1/22`;
}

function toNumber(address: string): number | null {
  const parts = address.split('.').map(Number);
  const isAddress =
    parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part < 256);
  return isAddress ? parts.reduce((sum, part) => sum * 256 + part, 0) : null;
}

function toText(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}
