// js-libp2p 3 wants Node 22 for this alone.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((...both) => {
    [resolve, reject] = both
  })
  return { promise, resolve, reject }
}
