//! What the server tells about itself: the public services and nothing else, in
//! both versions of the protocol (grpcurl asks v1, Postman and others v1alpha).

use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tonic_reflection::server::v1alpha::{
    ServerReflection as ServerReflectionAlpha,
    ServerReflectionServer as ServerReflectionServerAlpha,
};
use tonic_reflection::server::{Builder, Error};

use super::pb::DESCRIPTORS;

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Version 1.
///
/// # Errors
/// Never: the descriptors come from the build.
pub fn v1() -> Result<ServerReflectionServer<impl ServerReflection>, Error> {
    builder().build_v1()
}

/// Version 1 alpha.
///
/// # Errors
/// Never: the descriptors come from the build.
pub fn v1alpha() -> Result<ServerReflectionServerAlpha<impl ServerReflectionAlpha>, Error> {
    builder().build_v1alpha()
}
