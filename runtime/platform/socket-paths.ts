/**
 * The kernel takes 107 bytes for the path of a unix socket, and other systems 103. What is left after a
 * directory of this length is enough for every name that a runtime gives its sockets.
 */
export const longestSocketDirectoryBytes = 80;

/** True where sockets can be made in `directory`. */
export function fitsSockets(directory: string): boolean {
  return Buffer.byteLength(directory) <= longestSocketDirectoryBytes;
}
