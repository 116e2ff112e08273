/**
 * The only room that knows a tensor library: archives are loaded onto a device, called, trained and
 * freed here.
 *
 * <p>Everything else holds its numbers on the Java heap ({@link
 * io.github.flinkdiffusion.ops.engine.HostTensor}); what crosses the border is copied once each way
 * per call, and every native tensor lives in a scope that closes with the call.
 *
 * <pre>{@code
 * try (LoadedNetwork unet = LoadedNetwork.load(archive, DeviceSpec.parse("auto"))) {
 *   HostTensor.Floats out = unet.call("forward", sample, timestep, context);
 * }
 * }</pre>
 */
package io.github.flinkdiffusion.ops.engine;
