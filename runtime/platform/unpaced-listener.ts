import {dlopen, ptr} from 'bun:ffi';

/** Of `setsockopt`: IPPROTO_TCP and TCP_CONGESTION. */
const tcp = 6;
const congestionControl = 13;

/**
 * Lets the connections of a listener send as fast as they are read. Where a host uses BBR for all, the kernel waits by
 * a timer between packets; between processes of one host that protects nobody and takes half of the throughput. Does
 * nothing where the kernel does not allow it: `reno` is what every kernel has.
 */
export function sendUnpaced(listenerDescriptor: number): void {
  if (process.platform !== 'linux') return;
  const {setsockopt} = dlopen('libc.so.6', {
    setsockopt: {args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32'},
  }).symbols;
  const name = Buffer.from('reno');
  setsockopt(listenerDescriptor, tcp, congestionControl, ptr(name), name.length);
}
