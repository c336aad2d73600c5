/**
 * Stands in for `node:http2` in our bundles: exactly what `@hono/node-server` imports from there. No request is an
 * instance of this class.
 */
export class Http2ServerRequest {}

export const constants = {NGHTTP2_NO_ERROR: 0};
